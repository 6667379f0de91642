// What is kept: for this tab, or for this browser. Where a browser keeps nothing it is kept until the
// page is loaded again.

class Kept {
  constructor(name) {
    this.name = name;
    this.memory = new Map();
  }

  get(key) {
    try {
      return this.memory.get(key) ?? window[this.name].getItem(key);
    } catch {
      return null;
    }
  }

  set(key, text) {
    try {
      window[this.name].setItem(key, text);
      this.memory.delete(key);
    } catch {
      this.memory.set(key, text);
    }
  }

  remove(key) {
    this.memory.delete(key);
    try {
      window[this.name].removeItem(key);
    } catch {
      // There is nothing.
    }
  }
}

export const tab = new Kept("sessionStorage");
export const browser = new Kept("localStorage");
