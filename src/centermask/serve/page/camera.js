// A picture from the camera; where the browser gives none, the reason in words.

/** Opens the dialog; gives a File, or null if none was taken. */
export async function takePicture(dialog) {
  const video = dialog.querySelector("video"), reason = dialog.querySelector("[data-reason]");
  const stream = await openCamera().catch((error) => error);
  const works = stream instanceof MediaStream;
  reason.textContent = works ? "" : explain(stream);
  dialog.classList.toggle("blind", !works);
  video.srcObject = works ? stream : null;
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
  const file = works && dialog.returnValue === "take" ? await still(video) : null;
  if (works) for (const track of stream.getTracks()) track.stop();
  video.srcObject = null;
  return file;
}

async function openCamera() {
  if (!navigator.mediaDevices) throw new DOMException("", "SecurityError");
  const size = { width: { ideal: 1920 }, height: { ideal: 1080 } };
  const video = { facingMode: { ideal: "environment" }, ...size };
  return navigator.mediaDevices.getUserMedia({ video, audio: false });
}

function explain({ name }) {
  switch (name) {
    case "NotAllowedError":
      return "The browser may not use the camera. Allow it in the settings of this page, or choose a picture instead.";
    case "NotFoundError":
    case "OverconstrainedError":
      return "No camera was found. Connect one, or choose a picture instead.";
    case "SecurityError":
      return "Browsers give cameras to https addresses and to localhost only. Choose a picture instead.";
    default:
      return "The camera does not answer; perhaps another program uses it. Choose a picture instead.";
  }
}

async function still(video) {
  if (!video.videoWidth) return null;
  const size = { width: video.videoWidth, height: video.videoHeight };
  const canvas = Object.assign(document.createElement("canvas"), size);
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.95));
  return new File([blob], "camera.jpg", { type: "image/jpeg" });
}
