"""Parts of a report, one a file: from the result's data to tables and pictures."""
