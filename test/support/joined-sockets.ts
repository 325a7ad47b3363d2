import type { Socket } from 'node:net';

/** The connections of a proxy, kept so that they can be cut: of two that are joined the end of one is the end of both. */
export class JoinedSockets {
  readonly #sockets = new Set<Socket>();

  join(client: Socket, target: Socket): void {
    for (const socket of [client, target]) {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#sockets.delete(socket);
        client.destroy();
        target.destroy();
      });
    }
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
