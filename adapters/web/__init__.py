"""HTTP: the endpoints of INTERFACE and the page. Only here are fastapi, uvicorn and prometheus-client known."""
