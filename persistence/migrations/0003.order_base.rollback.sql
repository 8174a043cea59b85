-- What was wrong is not made wrong again: an older program reads a right base currency as well as a wrong one.
SELECT 1;
