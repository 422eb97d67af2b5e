"""Run the evaluator."""

from services.evaluator.service import main

if __name__ == "__main__":
    main()
