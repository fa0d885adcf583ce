"""From raw CSV files to governed Delta tables and one versioned dataset per ML model."""

__version__ = "0.1.0"
