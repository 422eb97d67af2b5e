"""Run the gateway."""

import shared.system.start  # noqa: F401 -- first, as it makes the other imports quicker
from services.gateway.service import main

if __name__ == "__main__":
    main()
