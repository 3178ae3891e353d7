"""The assistant gateway: JSON-RPC 2.0 over WebSocket in front of agents, with sessions that outlive the process."""
