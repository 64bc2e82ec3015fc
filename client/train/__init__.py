"""The private step: clip each patient's gradient, sum, add noise."""
