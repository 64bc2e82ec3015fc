"""What a recipient gets: a CSV file, a FHIR file, or a POST for each message. What a message holds stays text."""
