"""Products: what is sold."""

from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError
from stripe_sandbox.params import Boolean, Clearable, Items, Metadata, Shape, Text
from stripe_sandbox.resource import CREATED, Params, Resource, listable, matches, operation, register, retrievable
from stripe_sandbox.store import Object

PRODUCT = register(
    Resource(
        kind="product",
        prefix="prod",
        path="/v1/products",
        item="id",
        fields={
            "active": True,
            "default_price": None,
            "description": None,
            "images": [],
            "marketing_features": [],
            "metadata": {},
            "name": "",
            "package_dimensions": None,
            "shippable": None,
            "statement_descriptor": None,
            "tax_code": None,
            "unit_label": None,
            "updated": 0,
            "url": None,
        },
        references={"default_price": "price", "tax_code": "tax_code"},
    )
)

_FIELDS = {
    "active": Boolean(),
    "description": Clearable(Text(40000)),
    "metadata": Metadata(),
    "name": Text(),
    "statement_descriptor": Text(22),
    "unit_label": Clearable(Text(12)),
    "url": Clearable(Text()),
    "images": Clearable(Items(Text(), 8)),
}


@operation("POST", PRODUCT.path, Shape({**_FIELDS, "id": Text(255)}, required=("name",)))
def create(call: Call, params: Params) -> Object:
    fields = dict(params)
    identifier = fields.pop("id", None)
    if identifier is not None and call.store.get("product", identifier) is not None:
        raise StripeError("Product already exists.", code="resource_already_exists", param="id")
    fields["images"] = params.get("images") or []
    product = call.create(PRODUCT, {**fields, "updated": call.now}, identifier=identifier)
    call.emit("product.created", product)
    return product


@operation("POST", PRODUCT.item_path, Shape({**_FIELDS, "default_price": Text()}))
def update(call: Call, params: Params) -> Object:
    product = call.addressed("product")
    fields = dict(params)
    if "images" in fields:
        fields["images"] = fields["images"] or []
    if "default_price" in fields:
        _check_price(call, product, fields["default_price"])
    if any(product[name] != value for name, value in fields.items()):
        fields["updated"] = call.now
    call.update(product, fields, "product.updated")
    return product


def _check_price(call: Call, product: Object, identifier: str) -> None:
    if call.require("price", identifier, param="default_price")["product"] != product["id"]:
        raise StripeError(
            f"The price specified, {identifier}, does not belong to the product {product['id']}.",
            param="default_price",
        )


@operation("DELETE", PRODUCT.item_path)
def delete(call: Call, params: Params) -> Object:
    product = call.addressed("product")
    if call.find("price", product=product["id"]):
        raise StripeError("This product cannot be deleted because it has one or more user-created prices.", param="id")
    return call.delete(product, "product.deleted")


retrievable(PRODUCT)
listable(PRODUCT, {**CREATED, "active": matches("active", Boolean()), "url": matches("url")})
