"""Which message a patient is proposed: gains over the standard message, their errors, and capacities. Arrays alone."""
