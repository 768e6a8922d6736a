"""A headless Chromium for tests of pages: one session, on files."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

NARROW, WIDE = 400, 1400
"""Pixels: a telephone and a desk."""
_SWITCHES = (
    "--headless=new",
    "--no-sandbox",  # root, as on CI machines, cannot have one
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
)


class Browser:
    """What the tests do with it."""

    def __init__(self) -> None:
        self._started: list[webdriver.Chrome] = []
        self._states: dict[str, Mapping[str, object]] = {}

    @cached_property
    def driver(self) -> webdriver.Chrome:
        """It starts when it is wanted first: a test that needs it may be left out."""
        options = webdriver.ChromeOptions()
        for switch in _SWITCHES:
            options.add_argument(switch)
        options.binary_location = shutil.which("chromium") or "chromium"
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options, Service(shutil.which("chromedriver") or "chromedriver"))
        driver.set_script_timeout(30)
        self._started.append(driver)
        return driver

    def quit(self) -> None:
        """End it, where it has started."""
        for driver in self._started:
            driver.quit()

    def show(
        self,
        path: Path,
        *,
        width: int = WIDE,
        scheme: Literal["light", "dark"] = "light",
        media: Literal["screen", "print"] = "screen",
        script: bool = True,
        part: str = "",
    ) -> None:
        """Open a file as a reader with such a display would see it."""
        metrics = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        self._set("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._set("Emulation.setEmulatedMedia", {"media": media, "features": features})
        self._set("Emulation.setScriptExecutionDisabled", {"value": not script})
        if part:  # else it would only be scrolled to
            self.driver.get("about:blank")
        self.driver.get(f"{path.as_uri()}{part}")

    def run(self, script: str, *arguments: object) -> Any:
        """The value of some JavaScript."""
        return self.driver.execute_script(script, *arguments)

    def find(self, query: str) -> WebElement:
        """The first element that a selector of CSS finds."""
        return self.driver.find_element(By.CSS_SELECTOR, query)

    def texts(self, query: str) -> list[str]:
        """The text of all visible elements that a selector finds, as a reader sees it."""
        script = """
            return [...document.querySelectorAll(arguments[0])]
              .filter((each) => each.checkVisibility() && each.getClientRects().length)
              .map((each) => (each.innerText || each.textContent).trim())"""
        found: list[str] = self.run(script, query)
        return found

    def complaints(self) -> list[str]:
        """What the browser has refused or could not do since the last call."""
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def brightness(self) -> float:
        """The mean brightness of what is seen, from 0 to 1, of a screenshot."""
        shot = self._tell("Page.captureScreenshot", {"format": "png"})["data"]
        assert base64.b64decode(shot).startswith(b"\x89PNG")
        self._set("Emulation.setScriptExecutionDisabled", {"value": False})
        self.driver.get("about:blank")
        script = """
            const [shot, done] = arguments;
            const image = new Image();
            image.onload = () => {
              const canvas = document.createElement('canvas');
              const paper = canvas.getContext('2d');
              canvas.width = canvas.height = 64;
              paper.drawImage(image, 0, 0, 64, 64);
              const dots = paper.getImageData(0, 0, 64, 64).data;
              let sum = 0;
              dots.forEach((dot, at) => { sum += at % 4 === 3 ? 0 : dot; });
              done(sum / (64 * 64 * 3 * 255));
            };
            image.src = 'data:image/png;base64,' + shot;"""
        return float(self.driver.execute_async_script(script, shot))

    def _set(self, command: str, values: Mapping[str, object]) -> None:
        """As `_tell`, of what stays as it is."""
        if self._states.get(command) != values:
            self._tell(command, values)
            self._states[command] = values

    def _tell(self, command: str, values: Mapping[str, object]) -> Any:
        return self.driver.execute_cdp_cmd(command, dict(values))
