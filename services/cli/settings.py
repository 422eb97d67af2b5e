"""Settings of the command line."""

from pydantic import Field, SecretStr, field_validator

from shared.config import ServiceSettings, presentable


class CliSettings(ServiceSettings):
    """The gateway that commands are sent to."""

    gateway: str = Field(
        "http://127.0.0.1:8080", description="Address of the gateway, for the command line and the console."
    )
    key: SecretStr | None = Field(None, description="Key the command line shows the gateway.")

    @field_validator("key")
    @classmethod
    def _presentable(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not presentable(key.get_secret_value()):
            raise ValueError("it is no key; copy it again, as `waggle keys new` has printed it")
        return key
