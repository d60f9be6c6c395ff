"""Pure views: rows of the store in, view records out."""
