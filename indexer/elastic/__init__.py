"""Writing indices on Elasticsearch: built aside as versions, put into use at once, and changed in place."""
