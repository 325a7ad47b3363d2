import type { ServiceClientConstructor } from '@grpc/grpc-js';
import type { ProtoName } from '../../proto/load.js';

/** The services that were loaded, for whoever opens more than one client: parsing the CSI definition costs some 75 ms. */
export class WireServices {
  readonly #loaded = new Map<string, Promise<ServiceClientConstructor>>();

  async load(proto: ProtoName, service: string): Promise<ServiceClientConstructor> {
    const known = this.#loaded.get(service);
    if (known !== undefined) return await known;
    const loading = import('../../proto/load.js').then(({ loadService }) => loadService(proto, service));
    this.#loaded.set(service, loading);
    return await loading;
  }
}
