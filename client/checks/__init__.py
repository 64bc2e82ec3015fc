"""What ``doctor`` looks at: everything that can be known before the first plan, without asking anyone outside."""
