"""Run the archivist."""

from services.archivist.service import main

if __name__ == "__main__":
    main()
