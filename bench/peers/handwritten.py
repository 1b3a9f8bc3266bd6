"""What a developer writes by hand: verify with Stripe's SDK, upsert the object inline, answer.

Served by uvicorn with one worker; the database is libpq's (PGHOST, PGUSER, PGDATABASE).
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

import stripe
from fastapi import FastAPI, Header, HTTPException, Request
from sqlalchemy import BigInteger, func
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SECRET = os.environ["STRIPE_WEBHOOK_SECRET"]
engine = create_async_engine("postgresql+psycopg://", pool_size=16)
Session = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class Event(Base):
    __tablename__ = "webhook_events"
    id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Mirrored:
    id: Mapped[str] = mapped_column(primary_key=True)
    raw: Mapped[dict[str, Any]] = mapped_column(JSONB)
    event_created: Mapped[int] = mapped_column(BigInteger)


class Customer(Mirrored, Base):
    __tablename__ = "customers"
    email: Mapped[str | None]
    name: Mapped[str | None]
    deleted: Mapped[bool]


class Subscription(Mirrored, Base):
    __tablename__ = "subscriptions"
    customer: Mapped[str] = mapped_column(index=True)
    status: Mapped[str]
    cancel_at_period_end: Mapped[bool]


class Invoice(Mirrored, Base):
    __tablename__ = "invoices"
    customer: Mapped[str | None] = mapped_column(index=True)
    status: Mapped[str | None]
    total: Mapped[int] = mapped_column(BigInteger)
    amount_paid: Mapped[int] = mapped_column(BigInteger)


TABLES: dict[str, type[Customer | Subscription | Invoice]] = {
    "customer": Customer,
    "subscription": Subscription,
    "invoice": Invoice,
}
COLUMNS = {
    "customer": ("email", "name"),
    "subscription": ("customer", "status", "cancel_at_period_end"),
    "invoice": ("customer", "status", "total", "amount_paid"),
}


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.post("/webhooks/stripe")
async def webhook(request: Request, stripe_signature: Annotated[str, Header()]) -> dict[str, bool]:
    payload = await request.body()
    try:
        stripe.WebhookSignature.verify_header(payload.decode(), stripe_signature, SECRET, tolerance=300)
        event = json.loads(payload)  # `construct_event` costs more, and its Decimal amounts are none of JSON's
    except (ValueError, stripe.SignatureVerificationError) as error:
        raise HTTPException(400, str(error)) from error
    async with Session.begin() as session:
        seen = insert(Event).values(id=event["id"], type=event["type"]).on_conflict_do_nothing().returning(Event.id)
        if (await session.execute(seen)).first():
            thing = event["data"]["object"]
            if thing["object"] in TABLES:
                await session.execute(upsert(thing, event["type"], event["created"]))
    return {"received": True}


def upsert(thing: dict[str, Any], type: str, created: int) -> Any:
    """An older event does not replace what a younger one said."""
    kind, table = thing["object"], TABLES[thing["object"]]
    values = {"raw": thing, "event_created": created, **{name: thing.get(name) for name in COLUMNS[kind]}}
    if kind == "customer":
        values["deleted"] = type == "customer.deleted"
    statement = insert(table).values(id=thing["id"], **values)
    return statement.on_conflict_do_update(
        index_elements=[table.id], set_=values, where=table.event_created <= statement.excluded.event_created
    )
