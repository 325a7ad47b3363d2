import type { ServiceClientConstructor } from '@grpc/grpc-js';
import { loadServices, type ProtoName, type ProtoServices } from '../load.js';

/** The definitions that were loaded, for whoever opens more than one client or server: parsing one costs up to 75 ms. */
export class WireServices {
  readonly #loaded = new Map<ProtoName, ProtoServices>();

  /** Rejects with what kept it from being loaded; the next call tries again. */
  async load(proto: ProtoName, service: string): Promise<ServiceClientConstructor> {
    const services = this.#loaded.get(proto) ?? loadServices(proto);
    this.#loaded.set(proto, services);
    return services(service);
  }
}
