"""A window that shows pictures as they come; Tk, which comes with most Pythons."""

from PIL import Image

from centermask.errors import UserError
from centermask.video.frame import Picture

ROOM = 0.9
"""Share of the screen that a picture may fill."""


class Window:
    """A window for one video, to be used by the main thread alone.

    Raises:
        UserError: this Python has no Tk, or there is no screen.
    """

    def __init__(self, title: str) -> None:
        try:
            import tkinter

            from PIL import ImageTk
        except ImportError as error:
            raise UserError(f"--show needs Tk ({error}); install python3-tk, or write a video with --out") from None
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise UserError(f"--show needs a screen ({error}); leave it out and write a video with --out") from None
        self._root.title(title)
        self._root.protocol("WM_DELETE_WINDOW", self.close)
        self._root.bind("<Escape>", lambda event: self.close())
        self._photo = ImageTk.PhotoImage
        self._shown: ImageTk.PhotoImage | None = None
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self.open = True
        """False once it was closed."""

    def show(self, picture: Picture) -> None:
        """Show a picture, scaled down if the screen is smaller, and take notice of clicks and keys."""
        if not self.open:
            return
        image = Image.fromarray(picture)
        image.thumbnail((int(self._root.winfo_screenwidth() * ROOM), int(self._root.winfo_screenheight() * ROOM)))
        self._shown = self._photo(image, master=self._root)  # kept, or Tk shows nothing
        self._label.configure(image=self._shown)
        self._root.update()

    def close(self) -> None:
        """Close the window, once."""
        if self.open:
            self.open = False
            self._root.destroy()
