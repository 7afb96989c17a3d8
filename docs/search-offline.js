/* Search without a server. Browsers do not start workers from file: URLs, so on such pages a hidden
   frame takes the worker's place: same script, same messages. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.appendChild(this.frame);
      const inner = this.frame.contentWindow;
      this.receive = (event) => {
        if (event.source !== inner) return;
        const message = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(message);
        if (this.onmessage) this.onmessage(message);
      };
      window.addEventListener("message", this.receive);
      this.ready = new Promise((resolve) => window.Worker.waiting.set(inner, resolve));
      inner.document.open();
      inner.document.write(`<html><body><script>
        const sent = parent.postMessage.bind(parent);
        postMessage = (data) => sent(data, "*");
        importScripts = (...urls) => urls.reduce((before, url) => before.then(() =>
          new Promise((done) => {
            const script = document.createElement("script");
            script.src = url;
            script.onload = done;
            document.body.appendChild(script);
          })), Promise.resolve());
      <\/script><script src="${url}" onload="parent.Worker.loaded(window)"><\/script></body></html>`);
      inner.document.close();
    }

    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(
        new MessageEvent("message", { data: structuredClone(data) })));
    }

    terminate() {
      window.removeEventListener("message", this.receive);
      this.frame.remove();
    }

    static waiting = new Map();

    static loaded(inner) {
      this.waiting.get(inner)();
    }
  };
}
