"""What a scenario file may say: schema, validation, loader, catalogue."""
