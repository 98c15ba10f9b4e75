"""The usual chat, to compare with: FastAPI, SQLAlchemy on asyncpg, Redis pub/sub, JSON Web Tokens. It is no part of Hansard."""
