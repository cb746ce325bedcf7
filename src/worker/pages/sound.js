// What the viewer wants to hear: kept from one visit to the next, as far as the browser allows.

const KEY = "tsstream.sound";

export class Sound {
  isOn = true;
  volume = 1;

  // With `isMuted` it begins silent, whatever was wanted before.
  constructor(isMuted) {
    try {
      const { isOn, volume } = JSON.parse(localStorage.getItem(KEY));
      if (typeof isOn === "boolean") this.isOn = isOn;
      if (volume >= 0 && volume <= 1) this.volume = volume;
    } catch {
      // Nothing is kept, or it can't be had.
    }
    if (isMuted) this.isOn = false;
  }

  set(isOn, volume = this.volume) {
    this.isOn = isOn;
    this.volume = volume;
    try {
      localStorage.setItem(KEY, JSON.stringify({ isOn, volume }));
    } catch {
      // Then it is for this visit only.
    }
  }
}
