"""Run the memory service."""

from services.memory.service import main

if __name__ == "__main__":
    main()
