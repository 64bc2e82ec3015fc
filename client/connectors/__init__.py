"""Where tables come from: files and databases behind one small port."""
