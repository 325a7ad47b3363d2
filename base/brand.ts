declare const brand: unique symbol;

/** A string that cannot be mistaken for another kind of id: `type PodUid = Branded<'PodUid'>`. */
export type Branded<Name extends string> = string & { readonly [brand]: Name };
