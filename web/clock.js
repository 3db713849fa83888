// The server's time. Ages such as "12 s ago" must not lie where a computer's clock is off.

const TOLERANCE_MS = 3000; // The Date header counts whole seconds, and the way takes time too.

let offsetMs = 0;

/** Takes the time of an answer's Date header. */
export function synchronise(dateHeader) {
  const server = Date.parse(dateHeader ?? "");
  if (Number.isNaN(server)) return;
  const difference = server - Date.now();
  offsetMs = Math.abs(difference) > TOLERANCE_MS ? difference : 0;
}

/** Milliseconds since the epoch, by the server's clock. */
export function now() {
  return Date.now() + offsetMs;
}
