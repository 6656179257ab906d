"""What is kept about rights beside the rights themselves: ends, who a tenant knows, successions."""
