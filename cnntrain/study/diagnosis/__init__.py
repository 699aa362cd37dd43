"""Why a network does not learn, or does not learn enough: eleven checks that run, the table of errors, the curve."""
