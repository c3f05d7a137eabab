"""Videos, cameras and streams: read them frame by frame, and find, follow and draw the objects in them.

Needs the extra ``video`` (PyAV), which is imported when a video is opened.
"""

from centermask.video.frame import FoundFrame as FoundFrame
from centermask.video.frame import Frame as Frame
from centermask.video.frame import VideoInfo as VideoInfo
from centermask.video.progress import VideoProgress as VideoProgress
from centermask.video.reader import read_video as read_video
from centermask.video.run import VideoSummary as VideoSummary
from centermask.video.run import draw_found as draw_found
from centermask.video.run import plan_video as plan_video
from centermask.video.run import predict_video as predict_video
from centermask.video.source import VIDEO_SUFFIXES as VIDEO_SUFFIXES
from centermask.video.source import is_video as is_video
from centermask.video.writer import write_clip as write_clip
