// Numbers in words.

const COUNT = new Intl.NumberFormat("en");

/** 12345 → "12,345" */
export function count(number) {
  return COUNT.format(number);
}

/** 12345 → "12.3 k" */
export function short(number) {
  return number < 10_000 ? count(number) : scaled(number, ["", " k", " M", " G", " T"]);
}

/** Bits per second → "4.2 Mb/s" */
export function bits(perSecond) {
  return scaled(perSecond, [" b/s", " kb/s", " Mb/s", " Gb/s", " Tb/s"]);
}

/** Milliseconds → "850 ms", "2.1 s", "3 min" */
export function time(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  return age(ms);
}

/** Milliseconds → "3 s", "12 min", "5 h", "9 d" */
export function age(ms) {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 100) return `${seconds} s`;
  if (seconds < 100 * 60) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

/** Microseconds → "0.42 ms" */
export function latency(us) {
  return us < 10_000 ? `${(us / 1000).toFixed(us < 1000 ? 2 : 1)} ms` : time(us / 1000);
}

/** "1 error", "2 errors" */
export function several(number, noun) {
  return `${short(number)} ${noun}${number === 1 ? "" : "s"}`;
}

function scaled(number, units) {
  let step = 0;
  while (number >= 999.5 && step < units.length - 1) {
    number /= 1000;
    step += 1;
  }
  const digits = step > 0 && number < 99.95 ? 1 : 0;
  return number.toFixed(digits) + units[step];
}
