"""What the hospital does with a model: scores, reasons, and who is selected."""
