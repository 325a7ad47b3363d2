import type { ServiceClientConstructor } from '@grpc/grpc-js';
import type { ProtoName, ProtoServices } from '../load.js';

/** The definitions that were loaded, for whoever opens more than one client or server: parsing one costs up to 75 ms. */
export class WireServices {
  readonly #loaded = new Map<ProtoName, Promise<ProtoServices>>();

  async load(proto: ProtoName, service: string): Promise<ServiceClientConstructor> {
    const loading = this.#loaded.get(proto) ?? import('../load.js').then(({ loadServices }) => loadServices(proto));
    this.#loaded.set(proto, loading);
    return (await loading)(service);
  }
}
