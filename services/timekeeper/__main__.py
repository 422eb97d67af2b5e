"""Run the timekeeper."""

from services.timekeeper.service import main

if __name__ == "__main__":
    main()
