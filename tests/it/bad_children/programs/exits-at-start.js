// Ends while it is loaded.
console.error('the reason');
process.exit(0);
