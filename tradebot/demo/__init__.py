"""The product started as a person would start it: data, training, venue, workers, web, one live session."""
