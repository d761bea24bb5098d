"""The client's side of the work: networks and local training, shared by every engine so that all reach the same model."""
