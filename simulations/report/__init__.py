"""What a researcher sees: summary, files, page, table, frontier."""
