"""`python -m services.downloader`."""

from common.process import run_process
from services.downloader.serve import DownloaderSettings, serve

if __name__ == "__main__":
    run_process("downloader", DownloaderSettings, serve)
