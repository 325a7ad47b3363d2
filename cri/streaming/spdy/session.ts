import type { Duplex } from 'node:stream';
import { StreamingError } from '../streaming-error.js';
import { FrameReader, encodeFrame, rstStatus, type Frame } from './frames.js';
import { HeaderReader, HeaderWriter, type SpdyHeaders } from './headers.js';
import { SpdyStream, receiveWindow, type StreamLink } from './stream.js';

export interface SpdySessionOptions {
  readonly role: 'client' | 'server';
  /** Bytes that came with the upgrade. */
  readonly head?: Buffer | undefined;
  /**
   * Server: a stream the client opened. An error that is thrown refuses it; otherwise it is replied to before anything else
   * is sent on it.
   */
  readonly onStream?: ((stream: SpdyStream) => void) | undefined;
}

/** Window of a stream until SETTINGS say otherwise. */
const defaultWindow = 64 * 1024;
const lastDitchMs = 2000;

/**
 * One SPDY/3.1 connection, either end. Written here because the packages that speak it (`spdy-transport`) are unmaintained and
 * insist on flow control, which the common peers (kubelet, containerd, CRI-O, crictl: moby/spdystream) do not do: they ignore
 * windows and never open them again. So a window only limits what we send once the peer has shown that it knows them,
 * and a reader that is slow holds up the socket.
 */
export class SpdySession {
  readonly #socket: Duplex;
  readonly #options: SpdySessionOptions;
  readonly #streams = new Map<number, SpdyStream>();
  readonly #opening = new Map<number, { resolve: (stream: SpdyStream) => void; reject: (err: Error) => void }>();
  readonly #writer = new HeaderWriter();
  readonly #reader = new HeaderReader();
  readonly #closed = new AbortController();
  readonly #link: StreamLink;
  #peerHasWindows = false;
  #peerWindow = defaultWindow;
  #nextId: number;
  #lastPeerId = 0;

  constructor(socket: Duplex, options: SpdySessionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#nextId = options.role === 'client' ? 1 : 2;
    this.#link = {
      peerHasWindows: () => this.#peerHasWindows,
      sendData: (id, data, fin, done) => this.#sendData(id, data, fin, done),
      sendWindowUpdate: (id, delta) => this.#send(encodeFrame.windowUpdate(id, delta)),
      gone: (id, reset) => {
        if (this.#streams.delete(id) && reset) this.#send(encodeFrame.rstStream(id, rstStatus.cancel));
      },
    };
    socket.on('error', (err) => this.#end(err));
    this.#send(encodeFrame.settings(receiveWindow));
    void this.#receive();
  }

  /** Aborts when the connection is over, whoever ended it; the reason says how. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** Opens a stream; resolves when the other end accepted it. Only then may data be sent: spdystream drops what comes earlier. */
  async open(headers: SpdyHeaders): Promise<SpdyStream> {
    this.#closed.signal.throwIfAborted();
    const id = this.#nextId;
    this.#nextId += 2;
    const stream = new SpdyStream(id, headers, this.#peerWindow, this.#link);
    this.#streams.set(id, stream);
    const opened = new Promise<SpdyStream>((resolve, reject) => this.#opening.set(id, { resolve, reject }));
    this.#send(encodeFrame.synStream(id, this.#writer.pack(headers)));
    return await opened;
  }

  /** Says goodbye and closes the socket once everything written has left. */
  close(): void {
    if (this.#closed.signal.aborted) return;
    this.#send(encodeFrame.goaway(this.#lastPeerId));
    this.#socket.end();
    const timer = setTimeout(
      () => this.#end(new StreamingError('close SPDY connection: no answer', { code: 'closed' })),
      lastDitchMs,
    );
    this.#closed.signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  }

  destroy(reason: Error): void {
    this.#end(reason);
  }

  async #receive(): Promise<void> {
    const frames = new FrameReader();
    try {
      const { head } = this.#options;
      if (head !== undefined && head.length > 0) await this.#handleAll(frames.push(head));
      for await (const chunk of this.#socket) await this.#handleAll(frames.push(chunk as Buffer));
      this.#end(new StreamingError('read SPDY connection: the other end closed it', { code: 'closed' }));
    } catch (err) {
      this.#end(err instanceof Error ? err : new Error(String(err)));
    }
  }

  async #handleAll(frames: Iterable<Frame>): Promise<void> {
    for (const frame of frames) await this.#handle(frame);
  }

  async #handle(frame: Frame): Promise<void> {
    switch (frame.type) {
      case 'data':
        return await this.#streams.get(frame.streamId)?.receive(frame.data, frame.fin);
      case 'syn-stream':
        return this.#accept(frame.streamId, await this.#reader.unpack(frame.headerBlock), frame.fin);
      case 'syn-reply':
      case 'headers':
        await this.#reader.unpack(frame.headerBlock);
        if (frame.type === 'syn-reply') this.#replied(frame.streamId);
        if (frame.fin) this.#streams.get(frame.streamId)?.receiveEnd();
        return;
      case 'rst-stream':
        return this.#reset(frame.streamId);
      case 'settings':
        return this.#settings(frame.initialWindow);
      case 'window-update':
        this.#peerHasWindows = true;
        this.#streams.get(frame.streamId)?.grow(frame.delta);
        return;
      case 'ping':
        // Our own pings have our parity; we send none.
        if (frame.id % 2 !== (this.#options.role === 'client' ? 1 : 0)) this.#send(encodeFrame.ping(frame.id));
        return;
      case 'goaway':
      case 'unknown':
        return;
    }
  }

  #accept(id: number, headers: SpdyHeaders, fin: boolean): void {
    const peerParity = this.#options.role === 'client' ? 0 : 1;
    const { onStream } = this.#options;
    if (id % 2 !== peerParity || id <= this.#lastPeerId || onStream === undefined) {
      this.#send(encodeFrame.rstStream(id, rstStatus.protocolError));
      return;
    }
    this.#lastPeerId = id;
    const stream = new SpdyStream(id, headers, this.#peerWindow, this.#link);
    this.#streams.set(id, stream);
    this.#send(encodeFrame.synReply(id, this.#writer.pack({})));
    if (fin) stream.receiveEnd();
    try {
      onStream(stream);
    } catch (err) {
      stream.destroy(err instanceof Error ? err : new Error(String(err)));
    }
  }

  #replied(id: number): void {
    const stream = this.#streams.get(id);
    if (stream !== undefined) this.#opening.get(id)?.resolve(stream);
    this.#opening.delete(id);
  }

  #reset(id: number): void {
    const stream = this.#streams.get(id);
    const reason = new StreamingError('read SPDY stream: the other end reset it', { code: 'closed' });
    this.#opening.get(id)?.reject(reason);
    this.#opening.delete(id);
    this.#streams.delete(id);
    stream?.lose();
  }

  #settings(initialWindow: number | undefined): void {
    if (initialWindow === undefined) return;
    this.#peerHasWindows = true;
    const delta = initialWindow - this.#peerWindow;
    this.#peerWindow = initialWindow;
    for (const stream of this.#streams.values()) stream.grow(delta);
  }

  #send(frame: Buffer): void {
    if (this.#socket.writable) this.#socket.write(frame);
  }

  #sendData(id: number, data: Buffer, fin: boolean, done: (err?: Error | null) => void): void {
    if (!this.#socket.writable)
      return done(new StreamingError('write SPDY stream: the connection is closed', { code: 'closed' }));
    this.#socket.cork();
    this.#socket.write(encodeFrame.dataHead(id, data.length, fin));
    if (data.length > 0) this.#socket.write(data, done);
    this.#socket.uncork();
    if (data.length === 0) done();
  }

  #end(reason: Error): void {
    if (this.#closed.signal.aborted) return;
    for (const { reject } of this.#opening.values()) reject(reason);
    this.#opening.clear();
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    for (const stream of streams) stream.lose();
    this.#reader.close();
    this.#closed.abort(reason);
    this.#socket.destroy();
  }
}
