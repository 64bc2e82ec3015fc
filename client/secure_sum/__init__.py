"""A hospital's part in secure sums: its keys of each study, what it deals and opens, and both trips of a sum."""
