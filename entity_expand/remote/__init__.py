"""The client of the HTTP service: `Expander.open("http://host:8080")` leads here."""
