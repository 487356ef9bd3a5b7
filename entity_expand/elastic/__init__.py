"""The store on an Elasticsearch server: addresses, connections, documents and queries."""
