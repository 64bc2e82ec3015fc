"""What a person must be told, and by which way: one alert, who is told of what, what was told already, the senders."""
