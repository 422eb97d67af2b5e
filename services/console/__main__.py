"""Run the console."""

from services.console.service import main

if __name__ == "__main__":
    main()
