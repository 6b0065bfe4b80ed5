"""Tables to save as CSV files and Excel workbooks: small ones at once, large ones by a worker."""
